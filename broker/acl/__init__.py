"""Access control: users, what each may do, and the log of what was denied.

selector.py holds one set of permissions, parsed from rules and printed as rules; checking.py decides by it. user.py is
a user, users.py all of them, file.py the ACL file, log.py ACL LOG. Sessions and replies belong to the floors above.
"""
