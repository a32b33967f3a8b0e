// redis.clients:jedis
[sha256]import java.nio.charset.StandardCharsets;
[sha256]import java.security.GeneralSecurityException;
[sha256]import java.security.MessageDigest;
[sha256]import java.util.HexFormat;
import java.util.Locale;
import redis.clients.jedis.JedisPooled;

class Bounced {
[plain]    static boolean bounced(JedisPooled redis, String address) {
[plain]        return redis.exists("@prefix@:hard:" + address.strip().toLowerCase(Locale.ROOT));
[plain]    }
[sha256]    static boolean bounced(JedisPooled redis, String address) throws GeneralSecurityException {
[sha256]        byte[] octets = address.strip().toLowerCase(Locale.ROOT).getBytes(StandardCharsets.UTF_8);
[sha256]        byte[] digest = MessageDigest.getInstance("SHA-256").digest(octets);
[sha256]        return redis.exists("@prefix@:hard:" + HexFormat.of().formatHex(digest));
[sha256]    }

    public static void main(String[] arguments) throws Exception {
        try (JedisPooled redis = new JedisPooled("@url@")) {
            System.out.println(bounced(redis, arguments[0]) ? "do not send" : "send");
        }
    }
}
