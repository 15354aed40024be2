#include "text/datasets/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "base/number_text.h"
#include "base/random.h"
#include "text/datasets/dataset_files.h"

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

FileStamp stamp_of(const std::filesystem::path& path) {
  std::error_code error;  // What cannot be looked at is found when it is read.
  FileStamp stamp{path, 0, {}};
  stamp.bytes = std::filesystem::file_size(path, error);
  stamp.modified = std::filesystem::last_write_time(path, error);
  return stamp;
}

std::vector<FileStamp> stamps_of(const std::filesystem::path& path) {
  std::vector<FileStamp> stamps;
  for (const auto& file : dataset_files(path)) stamps.push_back(stamp_of(file));
  return stamps;
}

/// Reads the dataset once.
DatasetPlan count_texts(const DatasetSpec& spec, int64_t& rows_read, Logger& log,
                        const std::function<void(int64_t)>& on_row) {
  const auto source = open_dataset(spec);
  DatasetPlan plan;
  plan.spec = spec;
  plan.files = stamps_of(spec.path);
  plan.description = source->description();
  Sha256 hash;
  for (Sample sample; source->next(sample);) {
    hash.update(fmt::format("{} {}\n", sample.row, sample.text.size()));
    hash.update(sample.text);
    ++plan.available;
    if (on_row) on_row(rows_read + sample.row + 1);
  }
  plan.sha256 = hash.hex_digest();
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

/// `count` more of the `available` texts beside those in `ordinals`, appended in ascending order.
void choose_more(Random& random, int64_t available, int64_t count, std::vector<int64_t>& ordinals) {
  std::vector<int64_t> chosen = ordinals;
  std::ranges::sort(chosen);
  const auto left = available - static_cast<int64_t>(chosen.size());
  size_t passed = 0;  // of the chosen ones, those in front of the next
  for (const int64_t rank : random.sample_sorted(left, count)) {
    const auto at = [&] { return rank + static_cast<int64_t>(passed); };
    while (passed < chosen.size() && chosen[passed] <= at()) ++passed;
    ordinals.push_back(at());
  }
}

/// Chooses the texts that this stage adds, `shares[i]` in all of dataset i.
void add_stage(SamplingPlan& plan, const std::vector<int64_t>& shares, uint64_t seed) {
  for (size_t i = 0; i < plan.datasets.size(); ++i) {
    DatasetPlan& dataset = plan.datasets[i];
    const auto taken = static_cast<int64_t>(dataset.ordinals.size());
    // Seeded by name: what a dataset gives does not depend on those beside it.
    const std::string& name = dataset.spec.name;
    const bool first = dataset.stage_ends.empty();
    Random random(stable_hash(first ? name : fmt::format("{}\n{}", name, taken), seed));
    choose_more(random, dataset.available, shares[i] - taken, dataset.ordinals);
    dataset.stage_ends.push_back(dataset.ordinals.size());
  }
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
                           const std::function<void(int64_t rows)>& on_row,
                           const std::vector<int64_t>& earlier) {
  check_specs(specs, target);
  SamplingPlan plan;
  std::vector<int64_t> available;
  int64_t rows_read = 0;
  for (const DatasetSpec& spec : specs) {
    plan.datasets.push_back(count_texts(spec, rows_read, log, on_row));
    available.push_back(plan.datasets.back().available);
  }
  report_short(plan, target, strict, log);
  // Shares only rise with the total, so every stage adds to the one before.
  const int64_t possible = std::accumulate(available.begin(), available.end(), int64_t{0});
  for (const int64_t total : earlier) {
    if (total >= std::min(target, possible)) break;
    add_stage(plan, balanced_shares(available, total), seed);
    plan.earlier.push_back(total);
  }
  add_stage(plan, balanced_shares(available, target), seed);
  return plan;
}

void require_unchanged(const SamplingPlan& plan) {
  for (const DatasetPlan& dataset : plan.datasets) {
    for (const FileStamp& file : dataset.files) {
      const FileStamp now = stamp_of(file.path);
      if (now.bytes == file.bytes && now.modified == file.modified) continue;
      throw DataError(fmt::format(
          "dataset '{}': {} was changed while it was being read; leave it as it is during the run",
          dataset.spec.name, file.path.string()));
    }
  }
}

PlannedTexts::PlannedTexts(const SamplingPlan& plan) : num_stages_(plan.earlier.size() + 1) {
  for (const DatasetPlan& dataset : plan.datasets) {
    cursors_.push_back({open_dataset(dataset.spec), &dataset, 0, 0});
  }
}

bool PlannedTexts::stage_is_done() const {
  return std::ranges::all_of(cursors_, [&](const Cursor& cursor) {
    return cursor.taken == cursor.plan->stage_ends[stage_];
  });
}

void PlannedTexts::begin_next_stage() {
  ++stage_;
  turn_ = 0;
  for (Cursor& cursor : cursors_) {
    if (cursor.taken == cursor.plan->stage_ends[stage_]) continue;
    if (cursor.plan->ordinals[cursor.taken] >= cursor.seen) continue;
    cursor.source = open_dataset(cursor.plan->spec);
    cursor.seen = 0;
  }
}

bool PlannedTexts::next(PlannedText& text) {
  while (stage_is_done()) {
    if (stage_ + 1 == num_stages_) return false;
    begin_next_stage();
  }
  const auto done = [&](const Cursor& cursor) {
    return cursor.taken == cursor.plan->stage_ends[stage_];
  };
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
  text = {static_cast<int>(turn_), sample.row, std::move(sample.text), stage_};
  turn_ = (turn_ + 1) % cursors_.size();
  return true;
}

}  // namespace foregate::text
