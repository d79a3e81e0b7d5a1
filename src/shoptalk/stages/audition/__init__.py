"""`shoptalk audition`: a page on this machine where people listen to how terms are spoken, and say what is right.

- `listening`: the terms with their pronunciations, clips of them, and what is written into the file of overrides
- `server`: the page over HTTP, for this machine alone

`page/` has the page's HTML, CSS and JavaScript. Colours, letters and small tools are those of the service's page.
"""
