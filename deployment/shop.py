# shop.py
import telex

app = telex.Application()
prices = {}


@app.on_startup
def open_shop():
    prices.update({"pump": 49.5, "valve": 12.0})


@app.on("price")
def price(message: telex.Message[str], peer: telex.Peer):
    if message.content not in prices:
        raise telex.Refusal("not-sold", f"there is no {message.content} here")
    return {"item": message.content, "price": prices[message.content], "for": peer.identity}
