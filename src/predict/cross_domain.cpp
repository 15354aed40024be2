#include "predict/cross_domain.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/progress.h"
#include "predict/dataset_texts.h"
#include "predict/registry.h"
#include "predict/scoring.h"

namespace foregate {
namespace {

EvaluateOptions only_named_learners(EvaluateOptions options, const Corpus& corpus) {
  std::vector<std::string> asked = options.predictors;
  if (asked.empty()) {
    for (const Contestant& contestant : choose_contestants(options, corpus)) {
      if (std::find(asked.begin(), asked.end(), contestant.label) == asked.end())
        asked.push_back(contestant.label);
    }
  }
  std::erase_if(asked, [](const std::string& name) {
    const PredictorKind* kind = find_predictor_kind(name);
    return kind == nullptr || !kind->learns;
  });
  options.predictors = std::move(asked);
  return options;
}

}  // namespace

std::vector<TransferRow> measure_transfers(const EvaluateOptions& options, const Corpus& corpus,
                                           const TextSelection& test_texts) {
  std::vector<TransferRow> transfers;
  const EvaluateOptions learners = only_named_learners(options, corpus);
  if (learners.predictors.empty()) return transfers;
  const auto& datasets = corpus.manifest().datasets;
  std::optional<Progress> progress;
  if (options.progress)
    progress.emplace("cross-domain", "datasets", static_cast<int64_t>(datasets.size()));
  for (const DatasetEntry& dataset : datasets) {
    const DatasetTexts texts(corpus, dataset.name);
    std::vector<Contestant> contestants = choose_contestants(learners, corpus);
    SharedCounts counts(texts);
    TrainingEnvironment environment;
    environment.seed = options.seed;
    std::vector<PredictorScorer> scorers;
    for (const Contestant& contestant : contestants) {
      contestant.predictor->fit({texts, counts, environment});
      scorers.emplace_back(*contestant.predictor, contestant.label);
    }
    corpus.for_each(test_texts, [&](const RoutedText& text) {
      if (text.num_tokens() == 0) return;
      const Truth truth(text);
      for (PredictorScorer& scorer : scorers) scorer.add(text, truth);
    });
    for (const PredictorScorer& scorer : scorers) {
      const EvaluationRow row = scorer.row(options.seed);
      transfers.push_back({row.predictor, row.lead, dataset.name, row.recall_by_dataset});
    }
    if (progress) progress->update(&dataset - datasets.data() + 1);
  }
  if (progress) progress->finish();
  return transfers;
}

std::vector<TransferRow> transfer_matrix_rows(std::vector<TransferRow> transfers,
                                              const std::vector<Contestant>& contestants,
                                              const std::vector<EvaluationRow>& rows) {
  const auto add = [&](size_t i) {
    const Contestant& contestant = contestants[i];
    transfers.push_back({contestant.predictor->name(), rows[i].lead, contestant.learned_from,
                         rows[i].recall_by_dataset});
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!contestants[i].learned_from.empty()) add(i);
  }
  const std::vector<TransferRow> parts = transfers;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool wanted = std::any_of(parts.begin(), parts.end(), [&](const TransferRow& part) {
      return part.predictor == contestants[i].predictor->name() && part.lead == rows[i].lead;
    });
    if (wanted && contestants[i].learned_from.empty()) add(i);
  }
  // By lead in the evaluation's order, then predictor, then what was learned from; all first.
  const auto place_of = [&](const TransferRow& row) {
    return std::find_if(rows.begin(), rows.end(),
                        [&](const EvaluationRow& other) { return other.lead == row.lead; }) -
           rows.begin();
  };
  const auto key = [&](const TransferRow& row) {
    return std::tuple(place_of(row), row.predictor, row.learned_from);
  };
  std::stable_sort(transfers.begin(), transfers.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return transfers;
}

}  // namespace foregate
