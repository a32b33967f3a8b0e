// plugins/bounced.js, with haraka-plugin-redis. In config/redis.ini:
//   [server]
//   host=@host@
//   port=@port@
//   [opts]
//   database=@db@
exports.register = function () {
  this.inherits('haraka-plugin-redis');
  this.merge_redis_ini();
  this.register_hook('init_master', 'init_redis_plugin');
  this.register_hook('init_child', 'init_redis_plugin');
};

exports.hook_rcpt = async function (next, connection, params) {
  const address = `${params[0].user}@${params[0].host}`.toLowerCase();
[plain]  const key = `@prefix@:hard:${address}`;
[sha256]  const key = `@prefix@:hard:${require('node:crypto').createHash('sha256').update(address).digest('hex')}`;
  try {
    if (await this.db.exists(key)) return next(DENY, 'mail to this address has bounced');
    next();
  } catch (error) {
    next(DENYSOFT, 'the suppressed addresses cannot be looked up');
  }
};
