"""Real client libraries doing their real work against the broker.

processes.py holds worker processes and bounded waiting. Each test_<library>.py is one library; <library>_jobs.py,
where it exists, is what that library's own worker processes import. TRIMARAN_UNDER_TEST=host:port runs all of it
against another server. Locks and whatever else needs server-side Lua are not used.
"""
