#include "text/datasets/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "base/number_text.h"
#include "base/random.h"

namespace foregate::text {
namespace {

void check_specs(const std::vector<DatasetSpec>& specs, int64_t target) {
  if (specs.empty()) throw UsageError("no dataset given; expected --data NAME=PATH at least once");
  if (target < 1) {
    throw UsageError(fmt::format("--traces {}: expected a number of texts of 1 or more", target));
  }
  std::set<std::string> names;
  for (const DatasetSpec& spec : specs) {
    if (!names.insert(spec.name).second) {
      throw UsageError(fmt::format(
          "--data: two datasets are called '{}'; give each a name of its own", spec.name));
    }
  }
}

/// "12 rows: blank text", the most frequent first; `with_places`: and where the first of each is.
std::vector<std::string> skip_reasons(const TextSource& source, bool with_places = false) {
  std::vector<std::pair<int64_t, std::string>> reasons;
  for (const auto& [reason, rows] : source.skipped()) reasons.emplace_back(-rows, reason);
  std::ranges::sort(reasons);
  std::vector<std::string> lines;
  lines.reserve(reasons.size());
  for (const auto& [rows, reason] : reasons) {
    lines.push_back(fmt::format("{} row{}: {}", -rows, rows == -1 ? "" : "s", reason));
    if (with_places) {
      lines.back() +=
          fmt::format(" ({}{})", rows == -1 ? "" : "the first: ", source.first_skipped(reason));
    }
  }
  return lines;
}

/// Reads the dataset once.
DatasetPlan count_texts(const DatasetSpec& spec, int64_t& rows_read, Logger& log,
                        const std::function<void(int64_t)>& on_row) {
  const auto source = open_dataset(spec);
  DatasetPlan plan;
  plan.spec = spec;
  plan.description = source->description();
  for (Sample sample; source->next(sample);) {
    ++plan.available;
    if (on_row) on_row(rows_read + sample.row + 1);
  }
  plan.skipped = source->num_skipped();
  plan.skip_reasons = skip_reasons(*source);
  rows_read += plan.available + plan.skipped;
  if (plan.available == 0) {
    throw DataError(
        fmt::format("dataset '{}' has no usable text: {}; {}", spec.name, plan.description,
                    plan.skip_reasons.empty()
                        ? "no rows"
                        : fmt::format("{}", fmt::join(skip_reasons(*source, true), ", "))));
  }
  if (source->num_repaired() > 0) {
    log.warning("dataset '{}': {} held bytes that are not UTF-8; they read as U+FFFD", spec.name,
                number_of(source->num_repaired(), "text"));
  }
  return plan;
}

/// A dataset that has less than an equal share of the target is an error if strict, else a warning;
/// if all together have too little, that is said once.
void report_short(const SamplingPlan& plan, int64_t target, bool strict, Logger& log) {
  const auto count = static_cast<int64_t>(plan.datasets.size());
  int64_t available = 0;
  for (const DatasetPlan& dataset : plan.datasets) available += dataset.available;
  for (int64_t i = 0; i < count; ++i) {
    const DatasetPlan& dataset = plan.datasets[static_cast<size_t>(i)];
    const int64_t share = target / count + (i < target % count ? 1 : 0);
    if (dataset.available >= share) continue;
    const std::string message =
        fmt::format("dataset '{}' has {}, fewer than its share of {}", dataset.spec.name,
                    number_of(dataset.available, "usable text"), with_commas(share));
    if (strict) throw DataError(message + "; lower --traces, add data or leave --strict out");
    if (available >= target) log.warning("{}; the others give more", message);
  }
  if (available < target) {
    log.warning("the datasets hold {}, fewer than the {} asked for; all of them are taken",
                number_of(available, "usable text"), with_commas(target));
  }
}

}  // namespace

int64_t SamplingPlan::num_texts() const {
  int64_t total = 0;
  for (const DatasetPlan& dataset : datasets) {
    total += static_cast<int64_t>(dataset.ordinals.size());
  }
  return total;
}

std::vector<int64_t> balanced_shares(const std::vector<int64_t>& available, int64_t target) {
  std::vector<int64_t> shares(available.size(), 0);
  std::vector<size_t> open(available.size());
  std::iota(open.begin(), open.end(), size_t{0});
  int64_t left = target;
  while (!open.empty()) {
    const int64_t equal = left / static_cast<int64_t>(open.size());
    const auto is_short = [&](size_t i) { return available[i] <= equal; };
    if (std::ranges::none_of(open, is_short)) break;
    for (const size_t i : open) {
      if (!is_short(i)) continue;
      shares[i] = available[i];
      left -= available[i];
    }
    std::erase_if(open, is_short);
  }
  const auto count = static_cast<int64_t>(open.size());
  for (int64_t rank = 0; rank < count; ++rank) {
    shares[open[static_cast<size_t>(rank)]] = left / count + (rank < left % count ? 1 : 0);
  }
  return shares;
}

SamplingPlan plan_sampling(const std::vector<DatasetSpec>& specs, int64_t target, uint64_t seed,
                           bool strict, Logger& log,
                           const std::function<void(int64_t rows)>& on_row) {
  check_specs(specs, target);
  SamplingPlan plan;
  std::vector<int64_t> available;
  int64_t rows_read = 0;
  for (const DatasetSpec& spec : specs) {
    plan.datasets.push_back(count_texts(spec, rows_read, log, on_row));
    available.push_back(plan.datasets.back().available);
  }
  report_short(plan, target, strict, log);
  const auto shares = balanced_shares(available, target);
  for (size_t i = 0; i < plan.datasets.size(); ++i) {
    // Seeded by name: what a dataset gives does not depend on those beside it.
    Random random(stable_hash(plan.datasets[i].spec.name, seed));
    plan.datasets[i].ordinals = random.sample_sorted(available[i], shares[i]);
  }
  return plan;
}

PlannedTexts::PlannedTexts(const SamplingPlan& plan) {
  for (const DatasetPlan& dataset : plan.datasets) {
    cursors_.push_back({open_dataset(dataset.spec), &dataset, 0, 0});
  }
}

bool PlannedTexts::next(PlannedText& text) {
  const auto done = [](const Cursor& cursor) {
    return cursor.taken == cursor.plan->ordinals.size();
  };
  if (std::ranges::all_of(cursors_, done)) return false;
  while (done(cursors_[turn_])) turn_ = (turn_ + 1) % cursors_.size();
  Cursor& cursor = cursors_[turn_];
  const int64_t wanted = cursor.plan->ordinals[cursor.taken];
  Sample sample;
  for (; cursor.seen <= wanted; ++cursor.seen) {
    if (!cursor.source->next(sample)) {
      throw DataError(fmt::format(
          "dataset '{}' gave {} texts, {} when it was counted; do not change {} during the run",
          cursor.plan->spec.name, cursor.seen, cursor.plan->available,
          cursor.plan->spec.path.string()));
    }
  }
  ++cursor.taken;
  text = {static_cast<int>(turn_), sample.row, std::move(sample.text)};
  turn_ = (turn_ + 1) % cursors_.size();
  return true;
}

}  // namespace foregate::text
