#include "text/tokenizer/pre_tokenizer.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "text/tokenizer/metaspace.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/splits.h"
#include "text/unicode/unicode_tables.h"

namespace foregate::text {
namespace {

/// The pattern that ByteLevel with `use_regex` splits by: GPT-2's.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// ByteLevel's `add_prefix_space`: every word begins with a space.
class PrefixSpace : public PreTokenizerStep {
 public:
  void apply(Words& words) const override {
    for (std::string_view& word : words.views) {
      if (!word.starts_with(' ')) {
        word = words.storage.emplace_front(std::string(" ").append(word));
      }
    }
  }
};

SplitBehavior read_behavior(const JsonReader& json, const char* key) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors{
      {{"Removed", SplitBehavior::kRemoved},
       {"Isolated", SplitBehavior::kIsolated},
       {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
       {"MergedWithNext", SplitBehavior::kMergedWithNext},
       {"Contiguous", SplitBehavior::kContiguous}}};
  const std::string name = json.string(key, "Isolated");
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  json.fail(key, "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

Regex read_pattern(const JsonReader& split) {
  const JsonReader pattern = split.object("pattern");
  const std::string where = split.where() + ": Split";
  if (pattern.has("Regex")) return {pattern.string("Regex"), where + ": Regex"};
  if (!pattern.has("String")) split.fail("pattern", "an object with 'Regex' or 'String'");
  return Regex::of_text(pattern.string("String"), where + ": String");
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const Json& json, const std::string& where) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null()) pre_tokenizer.add(JsonReader(json, where + ": pre_tokenizer"));
  return pre_tokenizer;
}

void PreTokenizer::add(const JsonReader& part) {
  if (byte_level_) part.fail("type", "nothing behind ByteLevel");
  const std::string type = part.string("type");
  if (type == "Sequence") {
    for (const Json& inner : part.array("pretokenizers")) add(JsonReader(inner, part.where()));
  } else if (type == "Split") {
    add_split(part);
  } else if (type == "Digits") {
    steps_.push_back(std::make_unique<Split>(Regex::of_characters(number_ranges()),
                                             part.boolean("individual_digits", false)
                                                 ? SplitBehavior::kIsolated
                                                 : SplitBehavior::kContiguous,
                                             false));
  } else if (type == "Punctuation") {
    steps_.push_back(std::make_unique<Split>(Regex::of_characters(punctuation_ranges()),
                                             read_behavior(part, "behavior"), false));
  } else if (type == "Metaspace") {
    add_metaspace(part);
  } else if (type == "ByteLevel") {
    add_byte_level(part);
  } else {
    part.fail("type",
              "one of those implemented: Sequence, Split, Digits, Punctuation, Metaspace, "
              "ByteLevel");
  }
}

void PreTokenizer::add_split(const JsonReader& part) {
  if (!part.has("behavior")) part.fail("behavior", "the name of a behavior");
  steps_.push_back(std::make_unique<Split>(read_pattern(part), read_behavior(part, "behavior"),
                                           part.boolean("invert", false)));
}

void PreTokenizer::add_metaspace(const JsonReader& part) {
  auto metaspace = std::make_unique<Metaspace>(part);
  needs_text_begin_ |= metaspace->prepends_at_first();
  steps_.push_back(std::move(metaspace));
}

void PreTokenizer::add_byte_level(const JsonReader& part) {
  if (part.boolean("add_prefix_space", true)) steps_.push_back(std::make_unique<PrefixSpace>());
  if (part.boolean("use_regex", true)) {
    steps_.push_back(std::make_unique<Split>(Regex(kGpt2Pattern, part.where() + ": ByteLevel"),
                                             SplitBehavior::kIsolated, false));
  }
  byte_level_ = true;
}

Words PreTokenizer::split(std::string_view text, bool begins_text) const {
  Words words;
  if (text.empty()) return words;
  words.views.push_back(text);
  words.begins_text = begins_text;
  for (const auto& step : steps_) step->apply(words);
  return words;
}

}  // namespace foregate::text
