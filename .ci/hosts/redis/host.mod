module example.com/redis

go 1.25.0

require github.com/go-redis/redis/v8 v8.8.2
