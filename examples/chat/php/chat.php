<?php
// A small chat on fanoutd without any library: the daemon sends what browsers do by HTTP, and
// does what the answer says. Everybody hears everybody, rooms are heard by who is in them, and
// the number of people is always up to date. Who is there is kept in a file.
//
//     openssl rand -base64 32 > secret
//     SECRET_FILE=secret php -S localhost:8000 examples/chat/php/chat.php
//     bin/fanoutd --demo --webhook-url=http://localhost:8000 --webhook-group=chat \
//         --webhook-lifecycle --webhook-secret-file=secret

const EVERYBODY = ['all' => true];

// Whether fanoutd has sent this, and lately: see https://www.standardwebhooks.com. A file with
// two secrets accepts both.
function is_signed(string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (abs(time() - (int) $time) > 300) {
        return false; // recorded, and sent again
    }
    $secrets = preg_split('/\s+/', file_get_contents(getenv('SECRET_FILE')), -1, PREG_SPLIT_NO_EMPTY);
    foreach ($secrets as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
        foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
            if (hash_equals($expected, $signature)) {
                return true;
            }
        }
    }
    return false;
}

// The number of people, once $change is made of who is there. An event that comes once more
// changes nothing.
function people(?callable $change = null): int
{
    $file = fopen(getenv('STATE_FILE') ?: sys_get_temp_dir() . '/fanoutd-chat.json', 'c+');
    flock($file, LOCK_EX);
    $there = json_decode(stream_get_contents($file), true) ?: [];
    if ($change) {
        $change($there);
        ftruncate($file, 0);
        rewind($file);
        fwrite($file, json_encode($there));
    }
    fclose($file); // and unlocks it
    return count($there);
}

function is_text($value, int $longest, int $shortest = 0): bool
{
    return is_string($value) && preg_match("/^.{{$shortest},$longest}\$/us", $value);
}

function emit(array $to, string $event, ...$args): array
{
    return ['emit' => ['to' => $to, 'event' => $event, 'args' => $args]];
}

function reply($value, array ...$operations): array
{
    return ['operations' => $operations, 'reply' => ['args' => [$value]]];
}

// What is said to be wrong is told, not retried: it would be wrong again.
function wrong(string $why): array
{
    return reply(['error' => $why]);
}

// What fanoutd is to do. Operations are done in order; if this is asked once more about the
// same event, they are not done twice.
function answer(array $event): array
{
    $id = $event['connectionId'];
    $args = json_decode($event['argsJson'] ?? '[]', true);
    switch ($event['kind']) {
        case 'CONNECTED':
            $count = people(function (array &$there) use ($id) { $there[$id] = true; });
            return ['operations' => [emit(EVERYBODY, 'users count', $count)]];
        case 'DISCONNECTED':
            $count = people(function (array &$there) use ($id) { unset($there[$id]); });
            return ['operations' => [emit(EVERYBODY, 'users count', $count)]];
    }
    switch ($event['event'] ?? '') {
        case 'send message':
            $msg = $args[0] ?? null;
            $name = $args[1]['name'] ?? '';
            $room = $args[1]['room'] ?? '';
            if (!is_text($msg, 2000, 1) || !is_text($name, 100) || !is_text($room, 100)) {
                return wrong('a message is (text, {name, room})');
            }
            $to = $room === '' ? EVERYBODY : ['rooms' => [$room]];
            return reply(['ok' => true], emit($to, 'new message', ['msg' => $msg, 'name' => $name, 'room' => $room]));
        case 'join room':
        case 'leave room':
            $room = $args[0] ?? null;
            if (!is_text($room, 100, 1)) {
                return wrong('a room is a name');
            }
            $what = $event['event'] === 'join room' ? 'join' : 'leave';
            return reply(['ok' => true], [$what => ['to' => ['ids' => [$id]], 'rooms' => [$room]]]);
        case 'users count':
            return reply(people());
    }
    return [];
}

$body = file_get_contents('php://input');
if (!is_signed($body)) {
    http_response_code(401);
    exit;
}
header('Content-Type: application/json');
echo json_encode((object) answer(json_decode($body, true)));
