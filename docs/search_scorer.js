// How the search of the site orders its results: Sphinx's own weights, with the decisions behind all other pages,
// because they are written for those who change Actorium.
var Scorer = {
  score: ([page, , , , score]) => (page.startsWith("decisions/") ? score - 30 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
