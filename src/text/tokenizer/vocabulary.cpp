#include "text/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foregate::text {
namespace {

/// Far above any vocabulary; a larger id means a broken file, not a table of that size.
constexpr int64_t kMaxId = 1 << 26;

}  // namespace

void Vocabulary::add(std::string token, int64_t id, const std::string& where) {
  if (id < 0 || id > kMaxId) {
    throw DataError(fmt::format("{}: token \"{}\" has id {}; expected one in [0, {}]", where, token,
                                id, kMaxId));
  }
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) {
    if (index >= tokens_.capacity()) tokens_.reserve(std::max(index + 1, 2 * tokens_.capacity()));
    tokens_.resize(index + 1, nullptr);
  }
  if (tokens_[index] != nullptr) {
    throw DataError(fmt::format("{}: id {} is given to both \"{}\" and \"{}\"", where, id,
                                *tokens_[index], token));
  }
  const auto [entry, fresh] = ids_.emplace(std::move(token), static_cast<int32_t>(id));
  if (!fresh) {
    throw DataError(fmt::format("{}: token \"{}\" has two ids, {} and {}", where, entry->first,
                                entry->second, id));
  }
  tokens_[index] = &entry->first;
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string& Vocabulary::token(int32_t id) const {
  static const std::string none;
  if (id < 0 || id >= size() || tokens_[static_cast<size_t>(id)] == nullptr) return none;
  return *tokens_[static_cast<size_t>(id)];
}

}  // namespace foregate::text
