#pragma once

#include <string>

namespace foregate::predict {

/// How what was begun differs from what is asked for.
struct IdentityDifference {
  std::string words;     ///< "the model has other weights"; empty if they do not differ
  bool unknown = false;  ///< digests that one of the two lacks were not compared
};

/// Compares two identities: JSON that says what a predictor or an unfinished training is made of.
/// Digests that older versions did not write are not compared.
IdentityDifference identity_difference(const std::string& before, const std::string& now);

}  // namespace foregate::predict
