<?php // with the redis extension (php-redis)
function bounced(Redis $redis, string $address): bool
{
[plain]    return (bool) $redis->exists('@prefix@:hard:' . strtolower(trim($address)));
[sha256]    return (bool) $redis->exists('@prefix@:hard:' . hash('sha256', strtolower(trim($address))));
}

$redis = new Redis();
$redis->connect('@host@', @port@);
$redis->select(@db@);

if (bounced($redis, $argv[1])) {
    echo "do not send\n";
} else {
    echo "send\n";
}
