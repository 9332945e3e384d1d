// Puts the page together and follows its address.

const main = document.getElementById("main");
main.replaceChildren(whySection(), timelineSection(), mapsSection(), detailSection(), graphSection(), tableSection(), coverageSection(), runsSection());

document.getElementById("names").append(...checkpoints.slice(0, 3000).map((each) => el("option", { value: each.name.slice(0, 200) })));

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.getElementById("query").value.trim();
  const found = byName.get(text) ?? checkpoints.find((each) => each.name.toLowerCase().includes(text.toLowerCase()));
  if (found && text) {
    choose(found);
    document.getElementById("detail-name").focus({ preventScroll: true });
  } else {
    say(`no checkpoint named ${shown(text)}`);
  }
});

function follow({ scroll }) {
  const found = fromAddress(location.hash);
  if (found) choose(found.checkpoint, found.position, { scroll });
  return Boolean(found);
}
addEventListener("hashchange", () => follow({ scroll: true }));

if (!follow({ scroll: true })) {
  // The most telling checkpoint first, without moving the page or its address.
  selected = origin ?? checkpoints.reduce((worst, each) => (!worst || num(each.row.worst_nmse) > num(worst.row.worst_nmse) ? each : worst), null);
  selectedPosition = firstDivergence?.token_idx ?? selected?.row.worst_token_idx ?? null;
  showDetail();
}
drawAll();
document.body.dataset.ready = "yes";
