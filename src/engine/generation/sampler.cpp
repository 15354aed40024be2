#include "engine/generation/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace foregate::engine {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// A token that is still in the game.
struct Runner {
  int32_t id = 0;
  float score = 0;
};

// The likelier first; of equals the lower id.
bool is_likelier(const Runner& a, const Runner& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

// exp(score - largest) of each, and their sum.
double exponentials(const std::vector<Runner>& runners, std::vector<float>& values) {
  float largest = kMinusInfinity;
  for (const Runner& runner : runners) largest = std::max(largest, runner.score);
  values.resize(runners.size());
  double sum = 0;
  for (size_t i = 0; i < runners.size(); ++i) {
    values[i] = std::exp(runners[i].score - largest);
    sum += values[i];
  }
  return sum;
}

std::vector<Runner> runners_of(const std::vector<float>& scores) {
  std::vector<Runner> runners;
  runners.reserve(scores.size());
  for (size_t id = 0; id < scores.size(); ++id) {
    if (std::isnan(scores[id]) || scores[id] == std::numeric_limits<float>::infinity()) {
      throw DataError(
          fmt::format("the model's logit of token {} is {}, not a number; use another --dtype, or "
                      "a checkpoint whose weights are whole",
                      id, scores[id]));
    }
    if (scores[id] > kMinusInfinity) {
      runners.push_back({static_cast<int32_t>(id), scores[id]});
    }
  }
  if (runners.empty()) throw DataError("no token is left to choose: every logit is -infinity");
  return runners;
}

void keep_top_k(std::vector<Runner>& runners, int64_t k) {
  if (k <= 0 || k >= static_cast<int64_t>(runners.size())) return;
  std::vector<float> scores;
  scores.reserve(runners.size());
  for (const Runner& runner : runners) scores.push_back(runner.score);
  std::nth_element(scores.begin(), scores.begin() + (k - 1), scores.end(), std::greater<>());
  const float least = scores[static_cast<size_t>(k - 1)];
  std::erase_if(runners, [&](const Runner& runner) { return runner.score < least; });
}

// From the least likely on, tokens go while those gone have at most 1 - p together.
void keep_top_p(std::vector<Runner>& runners, double p) {
  if (p >= 1 || runners.size() < 2) return;
  std::vector<float> values;
  const double sum = exponentials(runners, values);
  const double tail = (1 - p) * sum;
  // What is less likely than an even share of the tail goes in any case, and needs no sorting.
  const double least = tail / static_cast<double>(runners.size());
  double gone = 0;
  std::vector<std::pair<Runner, float>> rest;
  for (size_t i = 0; i < runners.size(); ++i) {
    if (values[i] < least) {
      gone += values[i];
    } else {
      rest.emplace_back(runners[i], values[i]);
    }
  }
  std::ranges::sort(rest,
                    [](const auto& a, const auto& b) { return is_likelier(a.first, b.first); });
  while (rest.size() > 1 && gone + rest.back().second <= tail) {
    gone += rest.back().second;
    rest.pop_back();
  }
  runners.clear();
  for (const auto& [runner, value] : rest) runners.push_back(runner);
  std::ranges::sort(runners, {}, &Runner::id);
}

void keep_min_p(std::vector<Runner>& runners, double p) {
  if (p <= 0) return;
  std::vector<float> values;
  exponentials(runners, values);  // the likeliest has 1
  size_t kept = 0;
  for (size_t i = 0; i < runners.size(); ++i) {
    if (values[i] >= p) runners[kept++] = runners[i];
  }
  runners.resize(kept);
}

}  // namespace

void check_sampling(const SamplingSettings& settings, int64_t vocab_size,
                    const std::string& where) {
  const auto require = [&](bool good, const char* name, double value, const char* expected) {
    if (!good) {
      throw UsageError(fmt::format("{}{} is {}; expected {}", where, name, value, expected));
    }
  };
  require(settings.temperature >= 0 && std::isfinite(settings.temperature), "temperature",
          settings.temperature, "0 (greedy) or more");
  require(settings.top_k >= 0, "top-k", static_cast<double>(settings.top_k), "0 (all) or more");
  require(settings.top_p > 0 && settings.top_p <= 1, "top-p", settings.top_p,
          "more than 0, at most 1");
  require(settings.min_p >= 0 && settings.min_p <= 1, "min-p", settings.min_p, "0 to 1");
  require(settings.repetition_penalty > 0 && std::isfinite(settings.repetition_penalty),
          "repetition-penalty", settings.repetition_penalty, "more than 0; 1 changes nothing");
  require(std::isfinite(settings.presence_penalty), "presence-penalty", settings.presence_penalty,
          "a number");
  require(std::isfinite(settings.frequency_penalty), "frequency-penalty",
          settings.frequency_penalty, "a number");
  for (const auto& [id, bias] : settings.logit_bias) {
    require(id >= 0 && id < vocab_size, "logit-bias: token", id, "an id of the model's vocabulary");
    require(!std::isnan(bias) && bias < std::numeric_limits<double>::infinity(), "logit-bias", bias,
            "a number, or -inf to forbid the token");
  }
}

Sampler::Sampler(SamplingSettings settings, uint64_t seed, uint64_t stream,
                 std::span<const int32_t> prompt)
    : settings_(std::move(settings)), random_(Random(seed).fork(stream)) {
  if (settings_.repetition_penalty == 1) return;
  for (const int32_t id : prompt) ++seen_[id];
}

std::vector<float> Sampler::penalized(std::span<const float> logits) const {
  std::vector<float> scores(logits.begin(), logits.end());
  for (const auto& [id, bias] : settings_.logit_bias) scores[id] += static_cast<float>(bias);
  if (settings_.repetition_penalty != 1) {
    const auto penalty = static_cast<float>(settings_.repetition_penalty);
    for (const auto& [id, count] : seen_) {
      scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
    }
  }
  if (settings_.presence_penalty != 0 || settings_.frequency_penalty != 0) {
    for (const auto& [id, count] : generated_) {
      scores[id] -= static_cast<float>(settings_.presence_penalty +
                                       settings_.frequency_penalty * static_cast<double>(count));
    }
  }
  return scores;
}

Candidates Sampler::candidates(std::span<const float> logits) const {
  std::vector<Runner> runners = runners_of(penalized(logits));
  if (settings_.temperature == 0) {
    return {{std::ranges::min_element(runners, is_likelier)->id}, {1.0F}};
  }
  const auto temperature = static_cast<float>(settings_.temperature);
  for (Runner& runner : runners) runner.score /= temperature;
  keep_top_k(runners, settings_.top_k);
  keep_top_p(runners, settings_.top_p);
  keep_min_p(runners, settings_.min_p);
  Candidates result;
  const double sum = exponentials(runners, result.probabilities);
  for (float& value : result.probabilities) value = static_cast<float>(value / sum);
  for (const Runner& runner : runners) result.ids.push_back(runner.id);
  return result;
}

bool Sampler::is_plainly_greedy() const {
  return settings_.temperature == 0 && settings_.repetition_penalty == 1 &&
         settings_.presence_penalty == 0 && settings_.frequency_penalty == 0 &&
         settings_.logit_bias.empty();
}

void Sampler::accept(int32_t id) {
  ++chosen_;
  if (settings_.repetition_penalty != 1) ++seen_[id];
  ++generated_[id];
}

int32_t Sampler::next(std::span<const float> logits) {
  const Candidates drawn_from = candidates(logits);
  Random random = random_;
  random.discard(chosen_);
  const double total =
      std::accumulate(drawn_from.probabilities.begin(), drawn_from.probabilities.end(), 0.0);
  const double place = random.uniform() * total;
  double passed = 0;
  int32_t id = drawn_from.ids.front();
  for (size_t i = 0; i < drawn_from.ids.size(); ++i) {
    if (drawn_from.probabilities[i] == 0) continue;
    id = drawn_from.ids[i];
    passed += drawn_from.probabilities[i];
    if (passed > place) break;
  }
  accept(id);
  return id;
}

TokenLogprobs logprobs_of(std::span<const float> logits, int32_t chosen, int64_t top) {
  const float largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  const double norm = largest + std::log(sum);
  const auto entry = [&](int32_t id) {
    return TokenLogprobs::Entry{id, static_cast<float>(logits[id] - norm)};
  };
  TokenLogprobs result{.chosen = entry(chosen), .top = {}};
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto count = static_cast<int64_t>(
      std::min<size_t>(logits.size(), static_cast<size_t>(std::max<int64_t>(top, 0))));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  for (int64_t i = 0; i < count; ++i) result.top.push_back(entry(ids[i]));
  return result;
}

}  // namespace foregate::engine
