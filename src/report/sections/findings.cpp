#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/number_text.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "stats/balance.h"

namespace foregate::report {
namespace {

/// Mean, smallest and largest of one number a layer; NaN is passed over.
struct Range {
  double sum = 0;
  int count = 0;
  int lowest = -1;
  int highest = -1;
  double low = 0;
  double high = 0;

  void add(int layer, double value) {
    if (std::isnan(value)) return;
    if (count == 0 || value < low) low = value, lowest = layer;
    if (count == 0 || value > high) high = value, highest = layer;
    sum += value;
    ++count;
  }
  double mean() const { return sum / count; }
};

std::string percent(double share) {
  return format_value(share, Unit::kPercent);
}

void balance_findings(const stats::RoutingStatistics& statistics, std::vector<std::string>& found) {
  const trace::Geometry& geometry = statistics.geometry;
  Range entropy;
  Range busiest;
  int64_t unused = 0;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const auto counts = statistics.usage.layer(layer);
    entropy.add(layer, stats::normalized_entropy(counts));
    busiest.add(layer, stats::busiest_share(counts));
    unused += std::count(counts.begin(), counts.end(), 0);
  }
  const char* word = entropy.mean() > 0.98   ? "very evenly"
                     : entropy.mean() > 0.93 ? "fairly evenly"
                                             : "unevenly";
  std::string sentence =
      fmt::format("Experts are used {}: normalised entropy is {:.3f}", word, entropy.mean());
  if (entropy.count > 1) {
    sentence += fmt::format(" on average, from {:.3f} at layer {} to {:.3f} at layer {}",
                            entropy.low, decoder_layer(geometry, entropy.lowest), entropy.high,
                            decoder_layer(geometry, entropy.highest));
  }
  found.push_back(sentence + ".");
  const auto counts = statistics.usage.layer(busiest.highest);
  const auto expert = std::max_element(counts.begin(), counts.end()) - counts.begin();
  found.push_back(fmt::format(
      "The busiest expert is {} of layer {}: it takes {} of the layer's choices, {:.1f} times its "
      "even share.",
      expert, decoder_layer(geometry, busiest.highest), percent(busiest.high),
      busiest.high * geometry.num_experts));
  if (unused > 0) {
    found.push_back(
        fmt::format("{} of {} experts were never chosen.", with_commas(unused),
                    with_commas(int64_t{geometry.num_experts} * geometry.num_moe_layers)));
  }
}

void overlap_finding(const stats::RoutingStatistics& statistics, std::vector<std::string>& found) {
  const trace::Geometry& geometry = statistics.geometry;
  Range overlap;
  Range expected;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    overlap.add(layer, statistics.overlap.share(layer));
    expected.add(layer, stats::chance_overlap(statistics.usage.layer(layer), geometry.top_k));
  }
  if (overlap.count == 0) return;
  found.push_back(fmt::format(
      "The next token uses {} of a token's experts again ({} would be expected from usage alone), "
      "most at layer {}: {}.",
      percent(overlap.mean()), percent(expected.mean()), decoder_layer(geometry, overlap.highest),
      percent(overlap.high)));
}

/// How well one expert tells the next layer: the mean over choices of the likeliest follower's
/// probability, beside that of the next layer's busiest expert.
void transition_finding(const stats::RoutingStatistics& statistics,
                        std::vector<std::string>& found) {
  const stats::TransitionCounts& transitions = statistics.transitions;
  const int experts = statistics.geometry.num_experts;
  const auto tokens = static_cast<double>(statistics.usage.tokens());
  if (transitions.num_pairs() == 0) return;
  double follower = 0;
  double choices = 0;
  double busiest = 0;
  for (int pair = 0; pair < transitions.num_pairs(); ++pair) {
    int64_t most = 0;
    for (int from = 0; from < experts; ++from) {
      int64_t best = 0;
      for (int to = 0; to < experts; ++to) best = std::max(best, transitions.count(pair, from, to));
      follower += static_cast<double>(best);
      choices += static_cast<double>(transitions.from_count(pair, from));
      most = std::max(most, transitions.to_count(pair, from));
    }
    busiest += static_cast<double>(most) / tokens / transitions.num_pairs();
  }
  found.push_back(fmt::format(
      "Knowing one expert of a layer, its likeliest follower at the next layer is right {} of the "
      "time; always naming the next layer's busiest expert is right {} of the time.",
      percent(follower / choices), percent(busiest)));
}

void information_finding(const stats::RoutingStatistics& statistics,
                         std::vector<std::string>& found) {
  const stats::LayerInformation& information = statistics.information;
  const size_t n = information.layers().size();
  if (n < 2) return;
  double best = -1;
  std::pair<size_t, size_t> pair;
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = a + 1; b < n; ++b) {
      const double bits = information.bits(a, b);
      if (bits > best) best = bits, pair = {a, b};
    }
  }
  found.push_back(fmt::format(
      "Of all pairs of layers, {} and {} tell most about each other: {:.2f} bits an expert, of "
      "{:.2f} at most.",
      decoder_layer(statistics.geometry, information.layers()[pair.first]),
      decoder_layer(statistics.geometry, information.layers()[pair.second]), best,
      std::log2(statistics.geometry.num_experts)));
}

/// What a cache of half the experts hits, and what a text of some length needs.
void caching_findings(const stats::RoutingStatistics& statistics, std::vector<std::string>& found) {
  const trace::Geometry& geometry = statistics.geometry;
  const int half = std::max(1, geometry.num_experts / 2);
  if (statistics.cache.requests() == 0) return;
  const double recent =
      layer_mean(geometry, [&](int layer) { return statistics.cache.lru_hit_rate(layer, half); });
  const double best = layer_mean(
      geometry, [&](int layer) { return statistics.cache.optimal_hit_rate(layer, half); });
  found.push_back(fmt::format(
      "An LRU cache of {} of {} experts a layer would hold {} of the experts needed; knowing the "
      "future, eviction could not do better than {}.",
      half, geometry.num_experts, percent(recent), percent(best)));
  const std::vector<int> lengths = statistics.working_set.lengths();
  size_t last = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (2 * statistics.working_set.texts(i) >= statistics.traces) last = i;
  }
  if (lengths.empty() || lengths[last] < 2) return;
  const double mean =
      layer_mean(geometry, [&](int layer) { return statistics.working_set.mean(layer, last); });
  found.push_back(
      fmt::format("The first {} tokens of a text use {:.1f} of a layer's {} experts on average.",
                  lengths[last], mean, geometry.num_experts));
}

void phase_finding(const stats::RoutingStatistics& statistics, std::vector<std::string>& found) {
  if (!statistics.phases.any()) return;
  Range divergence;
  for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer) {
    divergence.add(layer, stats::jensen_shannon(statistics.phases.prompt().layer(layer),
                                                statistics.phases.generated().layer(layer)));
  }
  found.push_back(fmt::format(
      "Generated tokens are routed differently from prompts by {:.3f} bits on average, most at "
      "layer {}: {:.3f}.",
      divergence.mean(), decoder_layer(statistics.geometry, divergence.highest), divergence.high));
}

void comparison_finding(const ReportInput& input, std::vector<std::string>& found) {
  if (!input.agreement || input.agreement->tokens() == 0) return;
  const trace::Geometry& geometry = input.statistics.geometry;
  Range common;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer)
    common.add(layer, input.agreement->common(layer).mean);
  const double exact =
      layer_mean(geometry, [&](int layer) { return input.agreement->exact(layer); });
  found.push_back(fmt::format(
      "Compared with {}, {} of the experts are the same on average, least at layer {} ({}); {} of "
      "the decisions agree completely.",
      shorten(input.compared_with, 60), percent(common.mean()),
      decoder_layer(geometry, common.lowest), percent(common.low), percent(exact)));
}

void dataset_finding(const stats::RoutingStatistics& statistics, std::vector<std::string>& found) {
  if (statistics.datasets.size() < 2) return;
  size_t farthest = 0;
  Range widest;
  for (size_t i = 0; i < statistics.datasets.size(); ++i) {
    Range divergence;
    for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer)
      divergence.add(layer, statistics.divergence(i, layer));
    if (divergence.count == 0) continue;
    if (widest.count == 0 || divergence.mean() > widest.mean()) {
      widest = divergence;
      farthest = i;
    }
  }
  if (widest.count == 0) return;
  found.push_back(fmt::format(
      "{} differs most from the trace as a whole: {:.3f} bits on average, {:.3f} at layer {}.",
      shorten(statistics.datasets[farthest].name, 60), widest.mean(), widest.high,
      decoder_layer(statistics.geometry, widest.highest)));
}

void evaluation_findings(const stats::Evaluation& evaluation, std::vector<std::string>& found) {
  if (evaluation.has_control && evaluation.control_matches != evaluation.control_decisions) {
    found.push_back(
        "The own-router control is broken: the recorded features and decisions do not belong "
        "together, and no number of the evaluation can be trusted.");
  }
  const stats::MetricKey recall = stats::recall_at(evaluation.top_k);
  const auto recall_of = [&](const stats::EvaluationRow& row) {
    return row.whole().metrics.find(recall);
  };
  std::vector<const stats::EvaluationRow*> best;  // One a lead.
  for (const stats::EvaluationRow& row : evaluation.rows) {
    if (recall_of(row) == nullptr) continue;
    const auto same =
        std::find_if(best.begin(), best.end(),
                     [&](const stats::EvaluationRow* other) { return other->lead == row.lead; });
    if (same == best.end()) {
      best.push_back(&row);
    } else if (recall_of(row)->mean > recall_of(**same)->mean) {
      *same = &row;
    }
  }
  for (const stats::EvaluationRow* row : best) {
    const stats::Interval& value = *recall_of(*row);
    const bool interval = row->whole().texts >= stats::kTextsForInterval;
    found.push_back(fmt::format(
        "The best predictor at lead {} is {}: {} {}{}.", row->lead, row->predictor,
        stats::metric_name(recall), percent(value.mean),
        interval ? fmt::format(" [{}, {}]", percent(value.low), percent(value.high)) : ""));
  }
}

}  // namespace

std::vector<std::string> findings(const ReportInput& input) {
  std::vector<std::string> found;
  if (input.statistics.usage.tokens() == 0 || input.statistics.geometry.num_moe_layers == 0) {
    found.emplace_back(kNoTokens);
  } else {
    balance_findings(input.statistics, found);
    transition_finding(input.statistics, found);
    information_finding(input.statistics, found);
    overlap_finding(input.statistics, found);
    caching_findings(input.statistics, found);
    dataset_finding(input.statistics, found);
    phase_finding(input.statistics, found);
    comparison_finding(input, found);
  }
  for (const stats::Evaluation& evaluation : input.evaluations)
    evaluation_findings(evaluation, found);
  return found;
}

}  // namespace foregate::report
