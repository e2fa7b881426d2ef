"""The code of the user: where an application is found and imported, and how places in it are described."""
