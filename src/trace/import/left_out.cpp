#include "trace/import/left_out.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/number_text.h"

namespace foregate::trace {
namespace {

const char* was(int64_t count) {
  return count == 1 ? "was" : "were";
}

const char* has(int64_t count) {
  return count == 1 ? "has" : "have";
}

}  // namespace

void LeftOut::problem(const std::string& what) {
  if (records++ == 0 && broken_lines == 0) first_problem = what;
}

void LeftOut::say(Logger& log) const {
  if (broken_lines + records > 0) {
    log.warning("{} cannot be read and {} left out; the first: {}",
                number_of(broken_lines + records, "record"), was(broken_lines + records),
                first_problem);
  }
  if (without_routing > 0) {
    log.info("{} without routing (aborted, or no request at all) {} left out",
             number_of(without_routing, "record"), was(without_routing));
  }
  if (unrun > 0) {
    log.info("the last token of {} was sampled but never run; it has no routing and is left out",
             number_of(unrun, "text"));
  }
  if (unrouted > 0) {
    log.warning(
        "{} at the beginning or end of texts {} no routing (a prefix cache, padding) and {} left "
        "out",
        number_of(unrouted, "token"), has(unrouted), was(unrouted));
  }
  if (unrouted_prompts > 0) {
    log.warning("{} of prompts {} no rows in the record; those texts begin behind the prompt",
                number_of(unrouted_prompts, "token"), has(unrouted_prompts));
  }
  if (misfits > 0) {
    log.warning("{} {} more rows of routing than {} tokens; all rows are kept, without token ids",
                number_of(misfits, "response"), has(misfits),
                misfits == 1 ? "it names" : "they name");
  }
  if (unnamed > 0) {
    log.warning(
        "{} {} not say which tokens were routed; every token gets an id of its own, so equal "
        "tokens "
        "and duplicate texts are not recognised (docs/importing.md: how to ask for token ids)",
        number_of(unnamed, "text"), unnamed == 1 ? "does" : "do");
  }
  if (uncovered > 0) {
    log.warning("{} of the arrays belong to no text and {} left out", number_of(uncovered, "row"),
                was(uncovered));
  }
  if (other_blocks > 0) {
    log.warning("{} of layers outside of the decoder (multi-token prediction) {} left out",
                number_of(other_blocks, "record"), was(other_blocks));
  }
  if (unlisted_files > 0) {
    log.warning("{} in the folder {} not listed in requests.jsonl and {} left out",
                number_of(unlisted_files, "npy file"), unlisted_files == 1 ? "is" : "are",
                was(unlisted_files));
  }
  if (ambiguous > 0) {
    log.warning("{} of tokens {} for several ids of the tokenizer; the lowest was taken",
                number_of(ambiguous, "string"), ambiguous == 1 ? "stands" : "stand");
  }
  if (!dense_layers.empty()) {
    const bool one = dense_layers.size() == 1;
    log.info("{} {} no routing (zeros or -1 throughout, as of dense layers): left out",
             fmt::format("{} {}", one ? "layer" : "layers", fmt::join(dense_layers, ", ")),
             one ? "holds" : "hold");
  }
  for (const auto& [key, texts] : unread) {
    log.warning("'{}' of {} holds routing that is not read", key, number_of(texts, "text"));
  }
}

Json LeftOut::to_json() const {
  Json json;
  json["unreadable_records"] = broken_lines + records;
  json["records_without_routing"] = without_routing;
  json["unrun_tokens"] = unrun;
  json["unrouted_tokens"] = unrouted;
  json["unrouted_prompt_tokens"] = unrouted_prompts;
  json["texts_without_token_ids"] = unnamed;
  json["texts_with_more_rows_than_tokens"] = misfits;
  json["rows_of_no_text"] = uncovered;
  json["records_of_other_blocks"] = other_blocks;
  json["unlisted_files"] = unlisted_files;
  json["ambiguous_token_strings"] = ambiguous;
  json["dense_layers"] = dense_layers;
  json["unread_keys"] = unread;
  return json;
}

}  // namespace foregate::trace
