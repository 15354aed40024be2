#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace foregate {

/// The `normalizer` of a tokenizer.json: null, NFC, or a Sequence of these.
class Normalizer {
 public:
  /// Throws DataError for a type that is not implemented. `where` names the file in errors.
  static Normalizer from_json(const Json& json, const std::string& where);

  /// `text` (valid UTF-8) normalized; a view of `text` itself if nothing changes, else of
  /// `storage`.
  std::string_view normalize(std::string_view text, std::string& storage) const;

  bool nfc() const { return nfc_; }

 private:
  bool nfc_ = false;
};

/// Whether every character of `text` (valid UTF-8) lies in blocks that NFC never changes, so that
/// normalizing can be skipped. False means "not known".
bool is_surely_nfc(std::string_view text);

}  // namespace foregate
