import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.net.URI;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import okhttp3.Dispatcher;
import okhttp3.OkHttpClient;

/** The Java client: Client URL TRANSPORT TOKEN. */
public class Client {
    public static void main(String[] words) {
        IO.Options options = new IO.Options();
        options.transports = words[1].equals("upgrade") ? new String[] {"polling", "websocket"} : new String[] {words[1]};
        options.auth = Map.of("token", words[2]);
        options.reconnectionDelay = 50;
        options.reconnectionDelayMax = 500;
        // The stock threads outlive their work by a minute, and keep the program.
        ThreadPoolExecutor threads = new ThreadPoolExecutor(0, Integer.MAX_VALUE, 2, TimeUnit.SECONDS, new SynchronousQueue<>());
        OkHttpClient http = new OkHttpClient.Builder().dispatcher(new Dispatcher(threads)).readTimeout(1, TimeUnit.MINUTES).build();
        options.callFactory = http;
        options.webSocketFactory = http;
        Socket socket = IO.socket(URI.create(words[0]), options);

        socket.on("echo", args -> socket.emit("echoed", args));
        socket.on("call me", args -> socket.emit("question", args, answer -> socket.emit("answer", answer)));
        socket.on("ask", args -> {
            int last = args.length - 1;
            ((Ack) args[last]).call(Arrays.copyOf(args, last));
        });
        socket.on("bye", args -> socket.disconnect());
        socket.on(Socket.EVENT_CONNECT_ERROR, why -> System.out.println("refused: " + why[0]));
        socket.connect();
    }
}
