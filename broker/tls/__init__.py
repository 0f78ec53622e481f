"""What encrypts connections: those of clients (`network/` serves them), and those that the broker opens itself.

- `contexts`: the TLS contexts that the tls-* directives describe
- `openssl`: what Python's ssl module can't tell OpenSSL
"""
