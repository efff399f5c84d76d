import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.KafkaException;

/** The Java client logs in: PLAIN, both SCRAM mechanisms, and with a wrong password. Run with {@code java -cp kafka-clients… Sasl.java BOOTSTRAP}. */
public class Sasl {
    public static void main(String[] arguments) throws Exception {
        try (Admin admin = client(arguments[0], "PLAIN", "admin", "admin-secret")) {
            for (ScramMechanism mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
                admin.alterUserScramCredentials(List.of(
                    new UserScramCredentialUpsertion("user", new ScramCredentialInfo(mechanism, 4096), "a password"))).all().get();
            }
        }
        for (String mechanism : List.of("SCRAM-SHA-256", "SCRAM-SHA-512")) {
            try (Admin admin = client(arguments[0], mechanism, "user", "a password")) {
                admin.describeCluster().nodes().get();
            }
        }
        for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256", "NO-SUCH-MECHANISM")) {
            refused(arguments[0], mechanism);
        }
    }

    static void refused(String bootstrap, String mechanism) throws Exception {
        try (Admin admin = client(bootstrap, mechanism, "user", "another password")) {
            admin.describeCluster().nodes().get();
        } catch (ExecutionException | KafkaException e) {
            System.out.println(mechanism + ": " + e);
        }
    }

    static Admin client(String bootstrap, String mechanism, String user, String password) {
        String module = mechanism.startsWith("SCRAM") ? "scram.ScramLoginModule" : "plain.PlainLoginModule";
        return Admin.create(Map.of(
            "bootstrap.servers", bootstrap,
            "client.id", "java-" + mechanism,
            "default.api.timeout.ms", "10000",
            "request.timeout.ms", "5000",
            "security.protocol", "SASL_PLAINTEXT",
            "sasl.mechanism", mechanism,
            "sasl.jaas.config", "org.apache.kafka.common.security." + module + " required username=\"" + user + "\" password=\"" + password + "\";"));
    }
}
