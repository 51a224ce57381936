"""The peer: the official MCP SDK with one tool, which gives back its argument."""

from mcp.server.mcpserver import MCPServer

from benchmarks.control import serve

server = MCPServer("echo")


@server.tool()
def echo(text: str) -> str:
    """The same text."""
    return text


if __name__ == "__main__":
    serve(server.streamable_http_app(stateless_http=True, json_response=True))
