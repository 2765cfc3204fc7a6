// Command redis is a host with a library of many and old requirements: OpenTelemetry v0.19 is among them. Its
// refunds.go is examples/smallest.
package main

import "github.com/go-redis/redis/v8"

var _ = redis.NewClient
