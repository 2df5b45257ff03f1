# SPDX-License-Identifier: LGPL-2.1-or-later

# SF_REQUIRE(NAME, MODULES, DEBIAN-PACKAGE, FEDORA-PACKAGE)
# A library that must be there; where it is not, the error names the packages that bring it.
AC_DEFUN([SF_REQUIRE], [
	PKG_CHECK_MODULES([$1], [$2], [],
		[AC_MSG_ERROR([$2 is missing: install $3 (Debian) or $4 (Fedora)])])
])

# SF_COMPILE_FLAGS(VARIABLE, FLAGS)
# Collects in VARIABLE those FLAGS that the compiler takes.
AC_DEFUN([SF_COMPILE_FLAGS], [
	$1=
	sf_saved_cflags=$CFLAGS
	for sf_flag in m4_normalize([$2]); do
		AC_MSG_CHECKING([whether $CC takes $sf_flag])
		CFLAGS="$sf_saved_cflags -Werror $$1 $sf_flag"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
			[AC_MSG_RESULT([yes]); $1="$$1 $sf_flag"],
			[AC_MSG_RESULT([no])])
	done
	CFLAGS=$sf_saved_cflags
])

# SF_DIRECTORY(NAME, MODULE, VARIABLE, DEFAULT)
# A folder that another package decides, with --with-NAME to override it. Under a prefix of its own
# (make distcheck, a home install) nothing may be written outside that prefix: DEFAULT is used.
AC_DEFUN([SF_DIRECTORY], [
	AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR], [overrides the folder that $2.pc names])],
		[$1=$withval],
		[$1=$4
		AS_IF([test "x$prefix" = x/usr],
			[PKG_CHECK_EXISTS([$2], [$1=$($PKG_CONFIG --variable=$3 $2)])])])
	AC_SUBST([$1])
])
