"""The MCP door: POST /mcp and /mcp/login (Model Context Protocol, streamable HTTP), for assistants that act for people.

It speaks the protocol of 2026-07-28, in which each request stands for itself, and of 2025-11-25 and before without
sessions, so that any node answers any request. The official SDK reads and writes the protocol.

``adapter``     one HTTP request: its origin, its caller, its body; the SDK answers it
``server``      what the store offers: one handler a method
``visits``      who calls, for the handlers
``bindings``    the tools and the resources, each an operation of the store
``schemas``     their JSON Schemas
``tools``       one call of a tool
``resources``   reading resources
``listening``   one stream of cues that resources have changed
``prompts``     what people ask assistants to do here
``completion``  values that arguments may have
``errors``      how errors look
"""
