"""The queues of job libraries, read as they are stored: figures, jobs, and what may be done to them.

library       what all readers have in common
discovery     finds the queues on a server, a bounded number of keys at a time, and remembers them
paging        pages over several lists or sets, one after another
naming        queues whose library was given another prefix for its keys
stream_groups what several ask of consumer groups
own           consumers' job queues
celery rq dramatiq arq bullmq huey streaq taskiq     the others, one each
"""
