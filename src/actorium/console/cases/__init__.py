"""The correction cases of an application, as a console's API shows them and operators work on them."""
