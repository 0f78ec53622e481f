"""Who may look, and who may change something.

policy       how users log in, whether anything may be changed, under which names the console is reached
sessions     who is logged in, with which server connection; cookies and CSRF tokens
attempts     how often a wrong password may be tried
guard        what every request passes: host, login, origin; and the headers of every response
forms        the one way to take a form: its CSRF token, and that anything may be changed at all
audit        a line in the log for each action
"""
