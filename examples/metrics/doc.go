// Command metrics runs a shop that serves metrics of its refunds to Prometheus, on /metrics.
//
//	go run . -addr 127.0.0.1:9464
//	curl http://127.0.0.1:9464/metrics
//
// Each second it makes a refund against a WeChat Pay simulator on this machine. Most succeed at
// once, some get no answer at first, some are declined. The wiring is in shop.go. Package
// adapters/otelrefund documents the metrics. alerts.yml has rules for Prometheus:
//
//	rule_files: [alerts.yml]
//
// It is a separate module, because OpenTelemetry's exporter for Prometheus is not stable yet.
package main
