"""Parts of the hosted engine: resolution, limits, retries, the event stream and the money.

Nothing here is imported before a hosted engine is built: LiteLLM alone takes four seconds.
"""
