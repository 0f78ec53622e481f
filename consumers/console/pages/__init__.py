"""The console's pages, a module each: what a request is answered with, and the forms of the page."""
