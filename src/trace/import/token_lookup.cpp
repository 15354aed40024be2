#include "trace/import/token_lookup.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/number_text.h"

namespace foregate::trace {

TokenLookup::TokenLookup(const TokenDictionary& dictionary) : dictionary_(dictionary) {
  for (int32_t id = 0; id < dictionary.size(); ++id) {
    const std::string spelled = dictionary.spelled(id);
    if (spelled.empty()) continue;
    spelled_.try_emplace(spelled, id);
    const auto [entry, added] = decoded_.try_emplace(dictionary.decoded(id), id);
    if (!added) several_.insert(entry->first);
  }
}

void TokenLookup::look(const Ids& ids, const std::string& name, Unknown& unknown) {
  if (ids.contains(name)) return;
  if (unknown.count++ == 0) unknown.first = name;
}

void TokenLookup::note(const std::string& name) {
  if (!noted_.insert(name).second) return;
  look(spelled_, name, not_spelled_);
  look(decoded_, name, not_decoded_);
}

void TokenLookup::settle(const std::string& where) {
  const bool spelled = not_spelled_.count <= not_decoded_.count;
  const Unknown& unknown = spelled ? not_spelled_ : not_decoded_;
  chosen_ = spelled ? &spelled_ : &decoded_;
  if (unknown.count == 0) return;
  throw DataError(fmt::format(
      "{}: {} of {} different tokens are not in {} (the first: '{}'); give the tokenizer of the "
      "model "
      "that was recorded, or leave --tokenizer out",
      where, with_commas(static_cast<int64_t>(unknown.count)),
      with_commas(static_cast<int64_t>(noted_.size())), dictionary_.name(), unknown.first));
}

size_t TokenLookup::ambiguous() const {
  if (chosen_ != &decoded_) return 0;
  return static_cast<size_t>(std::count_if(
      noted_.begin(), noted_.end(), [&](const auto& name) { return several_.contains(name); }));
}

}  // namespace foregate::trace
