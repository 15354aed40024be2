#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace foregate::text {

/// One component of a normalizer. Texts are valid UTF-8.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  /// Writes the normalized `text` to `result`; false, with `result` left alone, if nothing changes.
  virtual bool apply(std::string_view text, std::string& result) const = 0;
  /// Whether characters at the front of a text may vanish, so that what comes next no longer counts
  /// as the beginning of the original text.
  virtual bool may_cut_front() const { return false; }
};

/// The `normalizer` of a tokenizer.json: null, NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip,
/// StripAccents, Lowercase, or a Sequence of these.
class Normalizer {
 public:
  /// Throws DataError for a type that is not implemented. `where` names the file in errors.
  static Normalizer from_json(const Json& json, const std::string& where);

  /// `text` normalized; a view of `text` itself if nothing changes, else of `storage`.
  std::string_view normalize(std::string_view text, std::string& storage) const;

  bool may_cut_front() const;
  /// For people: "Prepend, Replace". Empty without a normalizer.
  const std::string& description() const { return description_; }

 private:
  void add(const Json& json, const std::string& where);

  std::vector<std::unique_ptr<const NormalizerStep>> steps_;
  std::string description_;
};

}  // namespace foregate::text
