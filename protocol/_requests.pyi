# The compiled class has exactly the interface of the pure one.
from protocol.requests import RequestParser as RequestParser
