// Command metrics is a shop whose refunds are on /metrics, for Prometheus.
//
//	go run . -addr 127.0.0.1:9464
//	curl http://127.0.0.1:9464/metrics
//
// It makes a refund a second against a WeChat Pay simulator on this machine: most succeed at once,
// some have no answer at first, some are declined. The wiring is in shop.go; what the metrics mean
// is in the documentation of adapters/otelrefund. alerts.yml has the alerts worth waking up for, as
// Prometheus rules:
//
//	rule_files: [alerts.yml]
//
// It is a separate module, because OpenTelemetry's exporter for Prometheus is not stable yet.
package main
