#include "terminal/screen.h"

#include <cstdio>

namespace foregate {

void Screen::clear_bar() {
  if (bar_shown.exchange(false)) std::fputs("\r\033[K", stderr);
}

}  // namespace foregate
