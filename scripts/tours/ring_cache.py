"""Django's own Redis cache for a ring, whose nodes all have all keys."""

import itertools

import redis
from django.core.cache.backends.redis import RedisCache, RedisCacheClient


class AnyNode(redis.Connection):
    """A connection to the node that is named, or to another one if it is gone."""

    def __init__(self, nodes, **options):
        super().__init__(**options)
        self.nodes = nodes
        self.others = itertools.cycle(nodes)

    def connect_check_health(self, *args, **options):
        for _ in self.nodes:
            try:
                return super().connect_check_health(*args, **options)
            except (redis.ConnectionError, redis.TimeoutError):
                self.host, self.port = next(self.others)
        return super().connect_check_health(*args, **options)


class Client(redis.Redis):
    """A pipeline is no transaction here: a ring has none."""

    def pipeline(self, transaction=False, shard_hint=None):
        return super().pipeline(False, shard_hint)


class RingCacheClient(RedisCacheClient):
    def __init__(self, servers, **options):
        super().__init__(servers, **options)
        self._client = Client


class RingCache(RedisCache):
    def __init__(self, server, params):
        super().__init__(server, params)
        self._class = RingCacheClient
