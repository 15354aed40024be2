#include "trace/split/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/hash.h"
#include "trace/split/duplicates.h"

namespace foregate::trace {
namespace {

constexpr std::array kHeldOut = {Split::kTest, Split::kValidation};

/// Texts that stay together.
struct Group {
  uint64_t order = UINT64_MAX;           // Groups are dealt out in this order.
  std::map<std::string, int64_t> texts;  // How many of each dataset.
  std::vector<size_t> members;
  Split split = Split::kTrain;

  int64_t texts_of(const std::string& dataset) const {
    const auto found = texts.find(dataset);
    return found == texts.end() ? 0 : found->second;
  }
};

/// Texts that each held-out split of each dataset still takes.
using Wanted = std::map<std::string, std::map<Split, int64_t>>;

Wanted wanted_texts(const std::vector<SplitText>& texts, const SplitOptions& options) {
  std::map<std::string, int64_t> sizes;
  for (const SplitText& text : texts) ++sizes[text.dataset];
  Wanted wanted;
  for (const auto& [dataset, size] : sizes) {
    int64_t left = size - 1;  // One text at least is trained on.
    for (const auto& [split, share] : {std::pair(Split::kTest, options.test),
                                       std::pair(Split::kValidation, options.validation)}) {
      int64_t count = std::llround(share * static_cast<double>(size));
      if (share > 0 && size >= 3) count = std::max<int64_t>(count, 1);
      count = std::min(count, left);
      wanted[dataset][split] = count;
      left -= count;
    }
  }
  return wanted;
}

std::vector<Group> ordered_groups(const std::vector<SplitText>& texts, uint64_t seed) {
  const std::vector<size_t> group_of = duplicate_groups(texts);
  std::map<size_t, Group> by_first;
  for (size_t i = 0; i < texts.size(); ++i) {
    Group& group = by_first[group_of[i]];
    const std::string name = fmt::format("{}\n{}", texts[i].dataset, texts[i].sample);
    group.order = std::min(group.order, stable_hash(name, seed));
    ++group.texts[texts[i].dataset];
    group.members.push_back(i);
  }
  std::vector<Group> groups;
  for (auto& [first, group] : by_first) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.order < b.order; });
  return groups;
}

void put(Group& group, Split split, Wanted& wanted) {
  group.split = split;
  for (const auto& [dataset, count] : group.texts) wanted[dataset][split] -= count;
}

/// Groups go, in order, to the first held-out split with room for all their texts, else to
/// training.
void deal_out(std::vector<Group>& groups, Wanted& wanted) {
  for (Group& group : groups) {
    for (const Split split : kHeldOut) {
      const bool fits = std::all_of(group.texts.begin(), group.texts.end(), [&](const auto& entry) {
        return wanted[entry.first][split] >= entry.second;
      });
      if (!fits) continue;
      put(group, split, wanted);
      break;
    }
  }
}

/// Where duplicates left a held-out split of a dataset empty, the smallest group in training that
/// is not its last moves over.
void fill_empty(std::vector<Group>& groups, Wanted& wanted) {
  const Wanted before = wanted;
  for (const auto& [dataset, splits] : before) {
    for (const Split split : kHeldOut) {
      std::vector<Group*> training;
      bool empty = true;
      for (Group& group : groups) {
        if (group.texts_of(dataset) == 0) continue;
        if (group.split == split) empty = false;
        if (group.split == Split::kTrain) training.push_back(&group);
      }
      if (!empty || wanted[dataset][split] <= 0 || training.size() < 2) continue;
      Group* smallest = *std::min_element(
          training.begin(), training.end(),
          [](const Group* a, const Group* b) { return a->members.size() < b->members.size(); });
      put(*smallest, split, wanted);
    }
  }
}

void check_options(const SplitOptions& options) {
  const bool valid =
      options.validation >= 0 && options.test >= 0 && options.validation + options.test < 1;
  if (valid) return;
  throw UsageError(
      fmt::format("validation share {} and test share {}: expected two shares from 0 "
                  "on that leave some texts to train on",
                  options.validation, options.test));
}

}  // namespace

std::vector<Split> split_texts(const std::vector<SplitText>& texts, uint64_t seed,
                               const SplitOptions& options) {
  check_options(options);
  Wanted wanted = wanted_texts(texts, options);
  std::vector<Group> groups = ordered_groups(texts, seed);
  deal_out(groups, wanted);
  fill_empty(groups, wanted);
  std::vector<Split> splits(texts.size());
  for (const Group& group : groups) {
    for (const size_t i : group.members) splits[i] = group.split;
  }
  return splits;
}

std::string_view split_name(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
  }
  return "";
}

}  // namespace foregate::trace
