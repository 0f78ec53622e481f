"""The console in a real browser: Chromium, through Selenium, on a broker with data that was made to break pages."""
