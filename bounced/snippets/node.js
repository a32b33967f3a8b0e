// npm install redis
const { createClient } = require('redis');
[sha256]const crypto = require('node:crypto');

async function bounced(redis, address) {
[plain]  return (await redis.exists(`@prefix@:hard:${address.trim().toLowerCase()}`)) > 0;
[sha256]  const digest = crypto.createHash('sha256').update(address.trim().toLowerCase()).digest('hex');
[sha256]  return (await redis.exists(`@prefix@:hard:${digest}`)) > 0;
}

async function main() {
  const redis = createClient({ url: '@url@' });
  await redis.connect();
  console.log((await bounced(redis, process.argv[2])) ? 'do not send' : 'send');
  await redis.quit();
}

main();
