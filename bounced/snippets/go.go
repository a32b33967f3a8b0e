// go get github.com/gomodule/redigo
package main

import (
[sha256]	"crypto/sha256"
	"fmt"
	"os"
	"strings"

	"github.com/gomodule/redigo/redis"
)

func bounced(store redis.Conn, address string) (bool, error) {
	address = strings.ToLower(strings.TrimSpace(address))
[plain]	return redis.Bool(store.Do("EXISTS", "@prefix@:hard:"+address))
[sha256]	return redis.Bool(store.Do("EXISTS", fmt.Sprintf("@prefix@:hard:%x", sha256.Sum256([]byte(address)))))
}

func main() {
	store, err := redis.Dial("tcp", "@host@:@port@", redis.DialDatabase(@db@))
	if err != nil {
		panic(err)
	}
	defer store.Close()
	found, err := bounced(store, os.Args[1])
	if err != nil {
		panic(err)
	}
	if found {
		fmt.Println("do not send")
	} else {
		fmt.Println("send")
	}
}
