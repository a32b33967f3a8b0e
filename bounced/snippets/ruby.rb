require 'redis' # gem install redis
[sha256]require 'digest'

def bounced?(redis, address)
[plain]  redis.exists?("@prefix@:hard:#{address.strip.downcase}")
[sha256]  redis.exists?("@prefix@:hard:#{Digest::SHA256.hexdigest(address.strip.downcase)}")
end

redis = Redis.new(url: '@url@')
puts bounced?(redis, ARGV[0]) ? 'do not send' : 'send'
