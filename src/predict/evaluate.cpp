#include "predict/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "predict/contestants.h"
#include "predict/control.h"
#include "predict/corpus.h"
#include "predict/cross_domain.h"
#include "predict/foreseen_texts.h"
#include "predict/scoring.h"
#include "tensor/device.h"

namespace foregate {
namespace {

/// The same texts for everybody: with hidden states if anybody reads them.
TextSelection select_texts(const EvaluateOptions& options, const Corpus& corpus,
                           const std::vector<Contestant>& contestants) {
  using Features = TextSelection::Features;
  const bool required = std::any_of(
      contestants.begin(), contestants.end(),
      [](const Contestant& contestant) { return contestant.predictor->needs_features(); });
  TextSelection selection;
  if (!options.all_texts) selection.split = Split::kTest;
  selection.features = required ? Features::kRequire : Features::kAttach;
  selection.gate_weights = true;
  if (corpus.count(selection) > 0) return selection;
  throw DataError(fmt::format("{}: there is no {}text{} to evaluate on; collect more{}",
                              corpus.path().string(), options.all_texts ? "" : "test ",
                              required ? " with features" : "",
                              options.all_texts ? "" : ", or take every text with --split all"));
}

void fit_named(std::vector<Contestant>& contestants, const EvaluateOptions& options,
               const Corpus& corpus) {
  SharedCounts counts(corpus);
  TrainingEnvironment environment;
  environment.seed = options.seed;
  for (const Contestant& contestant : contestants) {
    if (!contestant.to_fit) continue;
    log::debug("fitting {} at {}", contestant.label, lead_name(contestant.predictor->lead()));
    contestant.predictor->fit({corpus, counts, environment});
  }
  // What they learned from, to label what is not held out.
  if (!options.all_texts) return;
  const std::vector<uint64_t> hashes = hashes_learned_from(corpus);
  const std::unordered_set<uint64_t> seen(hashes.begin(), hashes.end());
  for (Contestant& contestant : contestants) {
    if (contestant.to_fit) contestant.seen_texts = seen;
  }
}

/// A directory's own, which is what others use who load it; else fitted on the validation texts.
Calibration calibration_of(const Contestant& contestant, const Corpus& corpus) {
  if (contestant.calibration) return *contestant.calibration;
  return fit_calibrations({contestant.predictor.get()}, corpus).front().value_or(Calibration{});
}

/// Scores of all contestants and the control over the texts, gathered in one pass.
class Contest {
 public:
  Contest(const std::vector<Contestant>& contestants, const Corpus& corpus,
          const EvaluateOptions& options)
      : contestants_(contestants), seen_(contestants.size()) {
    for (const Contestant& contestant : contestants) {
      scorers_.emplace_back(*contestant.predictor, contestant.label,
                            calibration_of(contestant, corpus), options.budgets, options.threshold);
    }
    if (options.examples > 0) examples_.emplace(contestants, options.examples);
    if (corpus.routers()) control_.emplace(*corpus.routers());
  }

  void add(const RoutedText& text) {
    if (text.num_tokens() == 0) return;
    if (control_) control_->add(text);
    if (examples_) examples_->add(text);
    const Truth truth(text);
    for (size_t i = 0; i < scorers_.size(); ++i) {
      scorers_[i].add(text, truth);
      const Contestant& contestant = contestants_[i];
      if (contestant.learns && contestant.seen_texts.contains(text.hash)) ++seen_[i];
    }
  }

  void fill(Evaluation& evaluation, uint64_t seed) const {
    for (size_t i = 0; i < scorers_.size(); ++i) {
      EvaluationRow& row = evaluation.rows.emplace_back(scorers_[i].row(seed));
      row.learned_texts = seen_[i];
    }
    add_gains(evaluation, seed);
    mark_fronts(evaluation.rows, evaluation.top_k);
    if (examples_) evaluation.examples = examples_->texts();
    evaluation.has_control = control_ && control_->decisions() > 0;
    if (!evaluation.has_control) return;
    control_->require_perfect(evaluation.trace);
    evaluation.control_decisions = control_->decisions();
    evaluation.control_matches = control_->matches();
  }

 private:
  /// Compares every row with the best untrained one of its lead.
  void add_gains(Evaluation& evaluation, uint64_t seed) const {
    const auto recall = [&](size_t i) { return evaluation.rows[i].recall(evaluation.top_k); };
    for (size_t i = 0; i < scorers_.size(); ++i) {
      size_t best = scorers_.size();
      for (size_t j = 0; j < scorers_.size(); ++j) {
        if (contestants_[j].trained || evaluation.rows[j].lead != evaluation.rows[i].lead) continue;
        if (best == scorers_.size() || recall(j) > recall(best)) best = j;
      }
      if (best == scorers_.size() || best == i) continue;
      evaluation.rows[i].baseline = evaluation.rows[best].predictor;
      evaluation.rows[i].gain = scorers_[i].gain_over(scorers_[best], seed);
    }
  }

  const std::vector<Contestant>& contestants_;
  std::vector<PredictorScorer> scorers_;
  std::vector<int64_t> seen_;
  std::optional<OwnRouterControl> control_;
  std::optional<ForeseenTexts> examples_;
};

}  // namespace

Evaluation evaluate(const EvaluateOptions& options) {
  Corpus corpus(options.traces, options.held_out);
  for (const int budget : options.budgets) {
    const int experts = corpus.geometry().num_experts;
    if (budget >= 1 && budget <= experts) continue;
    throw UsageError(
        fmt::format("--budget is {}; expected 1 to the model's {} experts", budget, experts));
  }
  if (options.routers) corpus.set_routers(*options.routers, "the model's routers");
  std::vector<Contestant> contestants = choose_contestants(options, corpus);
  const TextSelection selection = select_texts(options, corpus, contestants);
  fit_named(contestants, options, corpus);
  const torch::Device device = parse_device(options.device);
  for (const Contestant& contestant : contestants) contestant.predictor->run_on(device);

  Contest contest(contestants, corpus, options);
  std::optional<Progress> progress;
  if (options.progress) progress.emplace("evaluating", "texts", corpus.count(selection));
  int64_t done = 0;
  corpus.for_each(selection, [&](const RoutedText& text) {
    contest.add(text);
    if (progress) progress->update(++done);
  });
  if (progress) progress->finish();

  Evaluation evaluation;
  evaluation.trace = options.traces.string();
  evaluation.model = corpus.manifest().model;
  evaluation.split = options.all_texts ? "all" : "test";
  if (!options.held_out.empty()) evaluation.split = "held-out " + options.held_out;
  evaluation.device = options.device;
  evaluation.num_experts = corpus.geometry().num_experts;
  evaluation.top_k = corpus.geometry().top_k;
  evaluation.num_moe_layers = corpus.geometry().num_moe_layers;
  contest.fill(evaluation, options.seed);
  std::vector<TransferRow> transfers;
  if (options.cross_domain) transfers = measure_transfers(options, corpus, selection);
  evaluation.transfers = transfer_matrix_rows(std::move(transfers), contestants, evaluation.rows);
  return evaluation;
}

}  // namespace foregate
