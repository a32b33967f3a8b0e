// go get github.com/redis/go-redis/v9
package main

import (
	"context"
[sha256]	"crypto/sha256"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

func bounced(ctx context.Context, store *redis.Client, address string) (bool, error) {
	address = strings.ToLower(strings.TrimSpace(address))
[plain]	found, err := store.Exists(ctx, "@prefix@:hard:"+address).Result()
[sha256]	found, err := store.Exists(ctx, fmt.Sprintf("@prefix@:hard:%x", sha256.Sum256([]byte(address)))).Result()
	return found > 0, err
}

func main() {
	store := redis.NewClient(&redis.Options{Addr: "@host@:@port@", DB: @db@})
	found, err := bounced(context.Background(), store, os.Args[1])
	if err != nil {
		panic(err)
	}
	if found {
		fmt.Println("do not send")
	} else {
		fmt.Println("send")
	}
}
