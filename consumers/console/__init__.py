"""The console: a web page to look at a server and its queues, for Trimaran, Redis and Valkey alike.

app          the ASGI application: routes, errors, what runs beside them
serving      the application on a port (Hypercorn), for `trimaran ui`
access/      who may do what: login, sessions, CSRF tokens, read-only mode, audit lines, security headers
server       the connection to the server that is looked at, under one user's name
viewpoint    that server as one user sees it, and what is watched there
watch        something that is read again and again while anybody asks for it
history      the last minutes of INFO, sampled once for all viewers
info         INFO's text as fields
labels       what clients have named or sent, as one line that is safe to show
pages/       a module per page; templates/ and static/ are theirs
streams      streams and their groups: figures; stream_entries has what is in one
workflows    workflows of job queues, and where their nodes are drawn
channels     channels and their subscribers, and what is published while somebody listens
metrics/     the server's figures as metrics, fetched by Prometheus or pushed by OTLP
queues/      the queues of job libraries: figures, jobs, actions
keys         keys and what is stored in them; key_editing changes them, entered reads what was typed for that
scanning     keys that match a pattern, a bounded number for each page
asking       commands in round trips of bounded size
values       stored bytes as text to look at; pickles reads those without unpickling

The broker never imports it.
"""
