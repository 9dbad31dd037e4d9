"""The pytest plugin: the fixtures, the marks and the options. It is loaded with every run of pytest, so it is light:
what a fixture needs, and the SDK above all, is imported by those who ask for the fixture.
"""
