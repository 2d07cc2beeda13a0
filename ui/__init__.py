"""What is shown: pages, widgets and item models. Widgets know no service; `ui.program` hands
the services to the pages.
"""
