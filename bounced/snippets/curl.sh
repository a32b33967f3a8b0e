#!/bin/sh
# Redis over curl: sh bounced.sh jane@example.org; exit status 0: send, 1: do not send, other: no answer
address=$(printf %s "$1" | tr '[:upper:]' '[:lower:]')
[plain]key="@prefix@:hard:$address"
[sha256]key="@prefix@:hard:$(printf %s "$address" | sha256sum | cut -d' ' -f1)"
length=$(printf %s "$key" | wc -c)
answer=$(
    printf 'SELECT @db@\r\n*2\r\n$6\r\nEXISTS\r\n$%d\r\n%s\r\nQUIT\r\n' "$length" "$key" |
        curl -s --max-time 3 telnet://@host@:@port@ | tr -d '\r'
)
case $answer in
*:0*) exit 0 ;;
*:1*) exit 1 ;;
*) exit 69 ;;
esac
