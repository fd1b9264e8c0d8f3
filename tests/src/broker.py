"""A Kafka cluster for tests: librdkafka's mock cluster, which speaks the real protocol.

The first line that it prints is the list of brokers. Each line that it reads is a topic, a
partition and a message; each is answered with "taken" once the brokers have it.
"""

import sys

from confluent_kafka import Producer

producer = Producer({"test.mock.num.brokers": int(sys.argv[1]), "linger.ms": 0})
brokers = producer.list_topics(timeout=30).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
for line in sys.stdin:
    topic, partition, message = line.rstrip("\n").split(" ", 2)
    failed = []
    producer.produce(
        topic,
        message.encode(),
        partition=int(partition),
        on_delivery=lambda error, _message: failed.append(error) if error else None,
    )
    left = producer.flush(30)
    print("taken" if left == 0 and not failed else f"not taken: {failed}", flush=True)
