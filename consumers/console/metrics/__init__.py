"""The server's figures as metrics: one list of them, which Prometheus fetches and OpenTelemetry is sent.

reading      all that is measured, at one moment
catalogue    the list: names, units and attributes; and the points of a reading, in bounded number
prometheus   these as Prometheus's text, for /metrics
settings     where they are pushed and how often, from options and from OpenTelemetry's environment variables
otlp         these as OpenTelemetry has them, and their export
push         the exports, one after the other

Only the last two need OpenTelemetry's packages.
"""
